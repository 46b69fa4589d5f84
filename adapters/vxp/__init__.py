"""The vxp adapter: the HTTP API that agencies' software speaks to the national axis (VNPT's SDKVXP), at a node.

Software that uses the SDK works unchanged: its endpoint points here.
"""

from adapters.vxp.adapter import Vxp, open_vxp

__all__ = ["Vxp", "open_vxp"]
