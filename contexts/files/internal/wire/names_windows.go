package wire

// What separates parts of a path, drives and streams on Windows.
const foreignSeparators = "\x00\\:"
