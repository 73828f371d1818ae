"""What the customer owes and pays: receipts, credit, disputes, write-offs, refunds."""
