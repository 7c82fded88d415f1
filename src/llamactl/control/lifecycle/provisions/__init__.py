"""What a process needs beside its engine: a port, an image, what its slots held before."""
