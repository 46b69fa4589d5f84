"""The XML namespaces of the exchange."""

from __future__ import annotations

from typing import Final

#: edXML of QCVN 102:2016/BTTTT.
QCVN: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
#: Our extension element in edXMLHeader: what edXML lacks, under the same signature.
EXTENSION: Final = "urn:congvan:edxml:1"
#: Receipts and the proofs that sign them.
RECEIPT: Final = "urn:congvan:receipt:1"
#: XML Signature, https://www.w3.org/TR/xmldsig-core1/
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
