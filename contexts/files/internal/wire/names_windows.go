package wire

// foreignSeparators separate parts of a path, drives and streams on Windows.
const foreignSeparators = "\x00\\:"
