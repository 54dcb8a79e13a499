"""People, rooms and photographs with exact truth, for the demo, the tests and the benchmark.

heart (beats, pulse wave, breath) and skin (what light comes back) know nothing of cameras; camera (times, light,
noise, 8 bits) knows nothing of people; portrait cuts the layers; scene brings them together into frames, traces into
colour traces without pictures. All of it is arithmetic on a seed: no clock, files, threads or network.

Simulation is engineering evidence, not clinical validation. Left out so far: rolling shutter, denoising and
sharpening in the camera, video codecs other than JPEG, turning of the head in depth, occlusion, masks, glasses.
"""
