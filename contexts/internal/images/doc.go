// Package images finds the executables that are sent to far sides: of this program, for
// the systems of other hosts.
//
//   - store.go: the images that a context has, finds, or asks its parent for.
//   - wire.go: how an image comes from the parent.
//   - build.go: how one is built from the sources.
//   - packed.go: packed images that are kept for later, here and at a far side.
//   - advice.go: warnings about the way in which this program was built.
package images
