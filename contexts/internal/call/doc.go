// Package call has the parts of calls that know neither nodes nor the registered
// functions.
//
//   - request.go: the body of a call as it travels.
//   - calls.go: calls that run here, counted by their callers.
//   - chains.go: calls that run here one after the other, in the order of their sending.
//   - queue.go: calls of one function that run one after the other.
//   - flights.go: runs that all who ask for them at the same time share.
//   - types.go: which types can travel, and where the nodes in a value are.
package call
