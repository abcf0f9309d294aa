// Package forward passes connections and datagrams on between the hosts of two
// contexts: one end is a stream of package router, the other a socket of this host.
//
//   - conn.go: a connection as it is seen at the near end, and addresses as they travel.
//   - relay.go: a stream and a connection of this host, copied both ways.
//   - packets.go, packetconn.go: the same for datagrams.
//   - listeners.go: listeners that other contexts have here, with their connections.
//   - remote.go: a listener at another context's host, and how both ends speak.
//   - sockets.go: how ports and sockets of this host are listened on.
package forward
