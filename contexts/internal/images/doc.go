// Package images finds the executables that are sent to far sides: of this program, for
// the systems of other hosts.
//
//   - store.go: what a context has and finds, and from whom it gets the rest.
//   - wire.go: how an image comes from the parent.
//   - build.go: how one is built from the sources.
//   - packed.go: packed images that are kept for later, here and at a far side.
//   - advice.go: what a program's log says of the way in which it was built.
package images
