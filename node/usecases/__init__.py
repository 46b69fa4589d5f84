"""What a node does: submit, send, receive, hand over, report, answer questions. The loops are in `node.workers`."""
