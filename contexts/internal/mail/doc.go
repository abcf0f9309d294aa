// Package mail is the engine of mailboxes: values of any type that come unasked, as
// items on streams.
//
//   - boxes.go: the mailboxes of a context, and the streams on which values arrive.
//   - streams.go: the streams from a context to the mailboxes of others.
package mail
