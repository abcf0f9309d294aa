// Package forward passes connections and datagrams on between the hosts of two
// contexts: one end is a stream of package router, the other a socket of this host.
package forward
