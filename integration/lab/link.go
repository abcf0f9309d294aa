//go:build linux

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Link describes a host's connection to the network: delay, rate and loss. They come on top of
// the machine's own. The zero value adds nothing.
type Link struct {
	// RTT is added to every round trip, one half in each direction.
	RTT time.Duration
	// Rate limits each direction, in bytes per second of IP packets. Zero: no limit.
	Rate int
	// Loss is the share of packets, 0 to 1, that are dropped in each direction.
	Loss float64
}

// Cut silently drops all packets to and from the host: no FIN, no RST, no ICMP, and the
// interface stays up. After Heal TCP connections go on.
func (r *Running) Cut() error {
	return errors.Join(r.net.setCut([2]string{r.ip, "all"}, true), r.net.setCut([2]string{"all", r.ip}, true))
}

// Heal undoes Cut.
func (r *Running) Heal() error {
	return errors.Join(r.net.setCut([2]string{r.ip, "all"}, false), r.net.setCut([2]string{"all", r.ip}, false))
}

// CutFrom is like Cut, for the packets between two hosts only. nil stands for the test
// process's station.
func (r *Running) CutFrom(other *Running) error { return r.setCutFrom(other, true) }

// HealFrom undoes CutFrom.
func (r *Running) HealFrom(other *Running) error { return r.setCutFrom(other, false) }

func (r *Running) setCutFrom(other *Running, cut bool) error {
	ip := StationIP
	if other != nil {
		ip = other.ip
	}
	return errors.Join(r.net.setCut([2]string{r.ip, ip}, cut), r.net.setCut([2]string{ip, r.ip}, cut))
}

// Shape makes the host's connection slow, narrow or lossy, at once and for
// connections that exist too. Packets under way may be lost. The zero Link undoes it.
func (r *Running) Shape(l Link) error {
	if err := r.unshape(); err != nil {
		return err
	}
	if l == (Link{}) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errHostEnded
	}
	s, err := newShaper(r.net, r.index, l)
	if err != nil {
		return fmt.Errorf("lab: shape the link of %s: %w", r.Name(), err)
	}
	r.shaper = s
	return nil
}

func (r *Running) unshape() error {
	r.mu.Lock()
	s := r.shaper
	r.shaper = nil
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.close()
}

// A shaper holds packets in the test process, because few kernels are built with
// netem. The router sends everything from and to the host into a TUN device;
// packets come out of it here, wait, and go in again:
//
//	host -> h10 -> d10 -> shaper -> d10 -> wherever they go
//	     <-     <-     <-        <-     <-
//
// One goroutine reads; one for each direction waits and writes. All run until
// close.
type shaper struct {
	// Immutable after newShaper.
	net   *network
	index int
	link  Link
	tun   *os.File
	// Closed by close.
	quit chan struct{}
	// Capacity: a second at 1,500 bytes and 100 MB/s. Sent to by read, which drops
	// instead of blocking; received by the two writers.
	up, down chan heldPacket
	loops    sync.WaitGroup
}

type heldPacket struct {
	data []byte
	due  time.Time
}

// tunMTU is that of the hosts' interfaces.
const tunMTU = 1500

func newShaper(n *network, index int, l Link) (*shaper, error) {
	s := &shaper{
		net: n, index: index, link: l, quit: make(chan struct{}),
		up: make(chan heldPacket, 65536), down: make(chan heldPacket, 65536),
	}
	err := inNetns(n.router, func() (err error) {
		if s.tun, err = openTUN(fmt.Sprintf("d%d", index)); err != nil {
			return err
		}
		return runIP(s.routes("add"))
	})
	if err != nil {
		if s.tun != nil {
			s.tun.Close()
		}
		return nil, err
	}
	s.loops.Go(s.read)
	for _, queue := range []chan heldPacket{s.up, s.down} {
		s.loops.Add(1)
		onOwnThread(func() {
			defer s.loops.Done()
			s.write(queue)
		})
	}
	return s, nil
}

// routes returns the ip commands that lead the host's packets through the device, or with "del"
// past it again. Packets that come out of the device for the host go to the host. All others
// follow the main table.
func (s *shaper) routes(verb string) string {
	in, out := 1000+s.index*2, 1001+s.index*2
	ip := indexIP(s.index)
	rules := fmt.Sprintf("rule %[1]s pref 1000 iif d%[2]d lookup %[3]d\nrule %[1]s pref 1001 iif h%[2]d lookup %[4]d\n",
		verb, s.index, in, out)
	if verb == "del" {
		return rules
	}
	return fmt.Sprintf(`link set d%[1]d mtu %[2]d txqueuelen 10000 up
route add %[3]s/32 dev h%[1]d table %[4]d
route add default dev d%[1]d table %[5]d
%[6]sroute add %[3]s/32 dev d%[1]d metric 10
`, s.index, tunMTU, ip, in, out, rules)
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// maxBacklog is the longest time that a packet waits for a free link. Packets that would wait
// longer are dropped, as by a router with a short queue.
const maxBacklog = 300 * time.Millisecond

func (s *shaper) read() {
	// The times at which each direction has sent all packets that it was given.
	var upFree, downFree time.Time
	own := indexIP(s.index)
	buf := make([]byte, 65536)
	for {
		n, err := s.tun.Read(buf)
		if err != nil {
			return
		}
		if n < 20 || buf[0]>>4 != 4 || rand.Float64() < s.link.Loss {
			continue
		}
		queue, free := s.down, &downFree
		if fmt.Sprintf("%d.%d.%d.%d", buf[12], buf[13], buf[14], buf[15]) == own {
			queue, free = s.up, &upFree
		}
		due := time.Now()
		if s.link.Rate > 0 {
			if free.Before(due) {
				*free = due
			}
			if free.Sub(due) > maxBacklog {
				continue
			}
			*free = free.Add(time.Duration(n) * time.Second / time.Duration(s.link.Rate))
			due = *free
		}
		select {
		case queue <- heldPacket{append([]byte(nil), buf[:n]...), due.Add(s.link.RTT / 2)}:
		default:
		}
	}
}

// write runs on a thread of its own: the kernel's sleep is exact to some
// microseconds, while Go's timers round up to a millisecond.
func (s *shaper) write(queue chan heldPacket) {
	for {
		select {
		case <-s.quit:
			return
		case p := <-queue:
			for wait := time.Until(p.due); wait > 0; wait = time.Until(p.due) {
				// In short pieces, so that close does not wait for a slow link.
				ts := unix.NsecToTimespec(int64(min(wait, 20*time.Millisecond)))
				unix.Nanosleep(&ts, nil)
				select {
				case <-s.quit:
					return
				default:
				}
			}
			s.tun.Write(p.data) // a packet that the device refuses is lost
		}
	}
}

func (s *shaper) close() error {
	err := inNetns(s.net.router, func() error { return runIP(s.routes("del")) })
	close(s.quit)
	s.tun.Close() // removes the device and all routes through it
	s.loops.Wait()
	// The tables' last routes go with the devices, except those to the host.
	return errors.Join(err, inNetns(s.net.router, func() error {
		return runIP(fmt.Sprintf("route flush table %d\n", 1000+s.index*2))
	}))
}
