"""What the window shows, worked out without Qt: plain values in, plain values out."""
