"""The cloud's API from the device's side: what is sent, what comes back, and how far what comes is believed."""
