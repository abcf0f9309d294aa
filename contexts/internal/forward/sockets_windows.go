package forward

import (
	"context"
	"net"
)

// listenSocket: sockets in the file system have the permissions of their directory.
func (c *SocketConfig) listenSocket(ctx context.Context, path string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}

// ListenDatagrams opens a socket for datagrams.
func ListenDatagrams(ctx context.Context, network, addr string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, network, addr)
}
