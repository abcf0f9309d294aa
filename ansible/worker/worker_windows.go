package worker

// There is no fork on Windows: the plugin finds no such function and starts a Python for each task.
