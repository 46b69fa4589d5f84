"""The text of `config.example.toml`, made from the models.

After a change of settings: `python -m tests.house.config_example > config.example.toml`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from adapters.filedrop.settings import FiledropSettings
from adapters.guards.clamav import ClamavSettings
from adapters.guards.file_types import FileTypesSettings
from adapters.guards.pdf import PdfSettings
from adapters.guards.secrecy import SecrecySettings
from adapters.rest.settings import RestSettings
from adapters.vxp.settings import SystemSettings, VxpSettings
from hub.settings import HubSettings
from node.settings import NodeSettings
from runtime.settings import settings_of
from runtime.settings_file import settings_text
from schemas.codes import AgencyCode

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"

#: Between the hub's settings and a node's.
NODE_MARK = "# ===== A node's congvan.toml ====="

_HUB_HEADING = """\
Every setting, explained. Two files in one: first a hub's DIR/congvan.toml, then a node's.

`congvan hub init` and `congvan node init` write them like this: change theirs, don't copy this.
A line that begins with # shows a default; take the # away to change it. Restart after a change.

CONGVAN_HUB__HUB__LISTEN in the environment stands above [hub] listen of a hub,
CONGVAN_NODE__HUB__URL above [hub] url of a node, and so on.

===== A hub's congvan.toml ====="""


_SYSTEM = SystemSettings(
    system_id="vxp.saas.03", secret_file=Path("/etc/congvan/dms.secret"), codes=(AgencyCode("H23"),)
)


def hub_settings() -> HubSettings:
    return settings_of(HubSettings, {"hub": {"name": "hub.example.gov.vn"}}, source="The example")


def node_settings() -> NodeSettings:
    return settings_of(
        NodeSettings,
        {
            "hub": {"url": "https://hub.example.gov.vn:8443"},
            "guards": {
                "secrecy": SecrecySettings(),
                "file-types": FileTypesSettings(),
                "clamav": ClamavSettings(),
                "pdf-signatures": PdfSettings(),
            },
            "adapters": {
                "filedrop": FiledropSettings(),
                "rest": RestSettings(),
                "vxp": VxpSettings(systems={"dms": _SYSTEM}),
            },
        },
        source="The example",
    )


def example_text() -> str:
    """The whole file: a hub's settings, the mark, a node's settings."""
    node = settings_text(node_settings(), heading=NODE_MARK.removeprefix("# "))
    return f"{settings_text(hub_settings(), heading=_HUB_HEADING)}\n\n{node}"


if __name__ == "__main__":
    sys.stdout.write(example_text())
