"""People, rooms and photographs with exact truth, for the demo and the tests."""
