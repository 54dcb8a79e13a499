"""Sources of frames and their replays, behind the ports in `ports.py`."""
