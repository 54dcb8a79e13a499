"""What answers people's questions about their health: first of all, what notices an emergency in their words."""
