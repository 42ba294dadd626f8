"""Public benchmarks of questions about medical images, read in the file formats in which they are published."""
