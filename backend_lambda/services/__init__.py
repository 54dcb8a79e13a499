"""What the API does. Knows neither AWS nor HTTP nor SQL drivers: only ports, the store's classes and wire formats."""
