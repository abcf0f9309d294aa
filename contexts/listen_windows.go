package contexts

import (
	"context"
	"net"
)

// listenSocket: sockets in the file system have the permissions of their directory.
func (c *ListenConfig) listenSocket(ctx context.Context, path string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}

// listenDatagrams opens a socket for datagrams.
func listenDatagrams(ctx context.Context, network, addr string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, network, addr)
}
