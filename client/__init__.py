"""The application: devices, pipeline, commands."""
