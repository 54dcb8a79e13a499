"""The few threads of a scan, and the slots between them."""
