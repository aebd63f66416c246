"""Usage facts in, settled usage, charges and invoices out; never imports bridge."""
