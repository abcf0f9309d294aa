// Package worker runs modules of Ansible in children of a warm Python.
//
// The plugin of the collection in the directory above calls the function ansible.python in the
// context in which a module is to run. There the package has a zygote: a Python that is started
// once, from a script that goes through its input, and that keeps the libraries of the zips that
// it has seen. It forks a child for each task and runs no module itself. The child has a session,
// outputs and an environment of its own, and ends with the call.
//
// There are up to two zygotes for each interpreter: one has imported the libraries that all
// modules share before it forks. A zip that has other files than those goes to the one that has
// imported nothing. A zygote ends when it has had no task for a while, and with its context. So it
// does when all its zips are more than [maxZips].
//
// Goroutines: each zygote has one that reads its answers and one that waits for its end; both end
// with it.
package worker
