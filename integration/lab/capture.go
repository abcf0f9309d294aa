//go:build linux

package lab

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Flow has the bytes that one end of a TCP connection sent to the other.
type Flow struct {
	From, To netip.AddrPort
	// Data is the payload in its order.
	Data []byte
}

// A segment is a piece of a flow. Segments may pass out of order, and more than once.
type segment struct {
	seq  uint32
	data []byte
}

// A Capture keeps all bytes that TCP carries from and to a host while it runs. A test looks in
// them for texts that must not pass in the clear.
type Capture struct {
	// Immutable after Running.Capture.
	name   string
	socket *os.File
	read   sync.WaitGroup

	// Owned by the reading goroutine until it has ended.
	segments map[[2]netip.AddrPort][]segment
	err      error
}

// captureBuffer bounds the packets that the kernel holds for the reader, in bytes: a second of
// a busy loopback.
const captureBuffer = 256 << 20

// maxPacket is the size of the largest packet that the kernel gives to the reader, in bytes. It
// joins packets of one flow.
const maxPacket = 1 << 16

// Capture starts to keep the packets that pass the host's link. The caller ends it by Stop.
func (r *Running) Capture() (*Capture, error) {
	c := &Capture{name: r.Name(), segments: map[[2]netip.AddrPort][]segment{}}
	err := inNetns(r.net.router, func() (err error) {
		c.socket, err = openPacketSocket(fmt.Sprintf("h%d", r.index))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: capture at %s: %w", r.Name(), err)
	}
	c.read.Go(c.run)
	return c, nil
}

// openPacketSocket opens a socket that gets a copy of all IP packets that leave or
// enter by a network interface.
func openPacketSocket(name string) (*os.File, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	// With ETH_P_IP the socket would get only packets that enter.
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	// With protocol 0 the socket gets no packets before it is bound to the interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: i.Index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packets of "+name), nil
}

func (c *Capture) run() {
	packet := make([]byte, maxPacket)
	for {
		n, err := c.socket.Read(packet)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				c.err = err
			}
			return
		}
		c.add(packet[:n])
	}
}

// add keeps the payload of a TCP packet over IPv4 (RFC 791, RFC 9293).
func (c *Capture) add(p []byte) {
	const tcp = 6
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != tcp {
		return
	}
	header, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	if total > len(p) || total < header+20 {
		return
	}
	p, addrs := p[header:total], p[12:20]
	offset := int(p[12]>>4) * 4
	if offset >= len(p) {
		return
	}
	ends := [2]netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(addrs)), binary.BigEndian.Uint16(p)),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(addrs[4:])), binary.BigEndian.Uint16(p[2:])),
	}
	c.segments[ends] = append(c.segments[ends], segment{binary.BigEndian.Uint32(p[4:]), bytes.Clone(p[offset:])})
}

// assemble puts segments in order and joins their bytes. It changes all.
func assemble(all []segment) []byte {
	// Numbers are compared as distances, because they wrap around.
	first := all[0].seq
	slices.SortStableFunc(all, func(a, b segment) int { return cmp.Compare(int32(a.seq-first), int32(b.seq-first)) })
	next := all[0].seq
	var data []byte
	for _, s := range all {
		if known := int32(next - s.seq); known > 0 {
			s.data = s.data[min(int(known), len(s.data)):]
			s.seq = next
		}
		if len(s.data) > 0 {
			data = append(data, s.data...)
			next = s.seq + uint32(len(s.data))
		}
	}
	return data
}

// Stop ends the capture and returns the flows that have passed until then. It fails if the
// capture has missed packets.
func (c *Capture) Stop() ([]Flow, error) {
	defer c.socket.Close()
	if err := c.socket.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	c.read.Wait()
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) { err = c.drain(int(fd)) })
	if err := errors.Join(c.err, controlErr, err); err != nil {
		return nil, fmt.Errorf("lab: capture at %s: %w", c.name, err)
	}
	flows := make([]Flow, 0, len(c.segments))
	for ends, all := range c.segments {
		flows = append(flows, Flow{From: ends[0], To: ends[1], Data: assemble(all)})
	}
	return flows, nil
}

// drain reads the packets that the kernel still holds.
func (c *Capture) drain(fd int) error {
	stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if stats.Drops > 0 {
		return fmt.Errorf("%d of %d packets were missed", stats.Drops, stats.Packets)
	}
	packet := make([]byte, maxPacket)
	// Packets that arrive from now on don't count: the kernel holds at most those it has
	// counted.
	for range stats.Packets {
		n, err := unix.Read(fd, packet)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		c.add(packet[:n])
	}
	return nil
}
