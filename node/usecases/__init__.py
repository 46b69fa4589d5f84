"""What a node does: submit, send, receive, hand over, report, answer questions. No loop of its own; `node.workers` has those."""
