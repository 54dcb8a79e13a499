"""What runs on the device: arrays in, values out. No Qt, network, clock, files, threads or cameras."""
