//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses of the router, the test process's own station, and the first host. Hosts have
// the numbers from firstHost on, in the 65,536 addresses that begin with 10.77.
const (
	routerIP     = "10.77.0.1"
	stationIndex = 2
	firstHost    = 10
)

// StationIP is the address that Dial comes from and Listen listens on.
const StationIP = "10.77.0.2"

var errNoNetwork = errors.New("lab: no host is running, so there is no network")

// network is the router's and the station's network namespaces. Ends are connected
// to the router by a veth pair each, with fixed MAC addresses and neighbour
// entries: a silent cut must not turn into "no route to host" because ARP noticed it.
type network struct {
	// Immutable after newNetwork.
	router, station *os.File

	// Guarded by mu.
	mu    sync.Mutex
	next  int
	names map[hostName]string // to address
	cuts  map[[2]string]bool
}

// A hostName belongs to a test: tests that run side by side may have hosts of one name.
type hostName struct{ test, name string }

// seenBy reports whether a test knows the host. The host belongs to that test, to a test of
// which that one is a subtest, or to no test.
func (h hostName) seenBy(test string) bool {
	return h.test == "" || h.test == test || strings.HasPrefix(test, h.test+"/")
}

// current is the one network of this process. It exists while there are hosts.
var current struct {
	mu    sync.Mutex
	users int
	net   *network
}

func acquireNetwork() (*network, error) {
	current.mu.Lock()
	defer current.mu.Unlock()
	if current.net == nil {
		// Descriptors that this process has inherited by accident must not reach the
		// processes of hosts: there they would look like a leak.
		if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
			return nil, fmt.Errorf("close on exec: %w", err)
		}
		n, err := newNetwork()
		if err != nil {
			return nil, fmt.Errorf("make network: %w", err)
		}
		current.net = n
	}
	current.users++
	return current.net, nil
}

func releaseNetwork() {
	current.mu.Lock()
	defer current.mu.Unlock()
	if current.users--; current.users == 0 {
		current.net.router.Close()
		current.net.station.Close()
		current.net = nil
	}
}

func currentNetwork() (*network, error) {
	current.mu.Lock()
	defer current.mu.Unlock()
	if current.net == nil {
		return nil, errNoNetwork
	}
	return current.net, nil
}

func newNetwork() (*network, error) {
	n := &network{next: firstHost, names: map[hostName]string{}, cuts: map[[2]string]bool{}}
	var err error
	if n.router, err = newNetns(setUpRouter); err != nil {
		return nil, err
	}
	n.station, err = newNetns(func() error {
		// ip finds the station's namespace by the number of this thread.
		if err := n.plug(stationIndex, unix.Gettid()); err != nil {
			return err
		}
		if err := runIP(hostSide(stationIndex)); err != nil {
			return err
		}
		return awaitRouter(context.Background())
	})
	if err != nil {
		n.router.Close()
		return nil, err
	}
	return n, nil
}

func setUpRouter() error {
	for file, value := range map[string]string{
		"ip_forward":                  "1",
		"conf/all/rp_filter":          "0",
		"conf/default/rp_filter":      "0",
		"conf/all/send_redirects":     "0",
		"conf/default/send_redirects": "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+file, []byte(value), 0); err != nil {
			return err
		}
	}
	return runIP("link set lo up\naddr add " + routerIP + "/32 dev lo\n")
}

// newNetns makes a network namespace, runs setUp in it and returns a file that
// keeps it.
func newNetns(setUp func() error) (*os.File, error) {
	var file *os.File
	result := make(chan error, 1)
	onOwnThread(func() {
		result <- func() (err error) {
			if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())); err != nil {
				return err
			}
			return setUp()
		}()
	})
	if err := <-result; err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return file, nil
}

// inNetns runs f on a thread of its own in the namespace. Sockets that f makes belong to the
// namespace for good, and any thread can use them.
func inNetns(ns *os.File, f func() error) error {
	result := make(chan error, 1)
	onOwnThread(func() {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("join network namespace: %w", err)
			return
		}
		result <- f()
	})
	return <-result
}

// runIP runs the lines as one ip command in the calling thread's namespace.
func runIP(lines string) error {
	cmd := exec.Command(findTool("ip"), "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func indexIP(i int) string  { return fmt.Sprintf("10.77.%d.%d", i>>8, i&0xff) }
func hostMAC(i int) string  { return fmt.Sprintf("02:4d:01:00:%02x:%02x", i>>8, i&0xff) }
func routeMAC(i int) string { return fmt.Sprintf("02:4d:02:00:%02x:%02x", i>>8, i&0xff) }

// plug connects the network namespace of a process or thread to the router.
func (n *network) plug(i, pid int) error {
	return inNetns(n.router, func() error {
		return runIP(fmt.Sprintf(`link add h%[1]d address %[2]s type veth peer name eth0 address %[3]s netns %[4]d
link set h%[1]d up
route add %[5]s/32 dev h%[1]d metric 100
neigh replace %[5]s lladdr %[3]s dev h%[1]d nud permanent
`, i, routeMAC(i), hostMAC(i), pid, indexIP(i)))
	})
}

// hostSide returns the ip commands for the host's end of the pair that plug makes.
func hostSide(i int) string {
	return fmt.Sprintf(`link set lo up
addr add %[1]s/32 dev eth0
link set eth0 up
neigh replace %[2]s lladdr %[3]s dev eth0 nud permanent
route add %[2]s/32 dev eth0 scope link
route add default via %[2]s dev eth0 src %[1]s
`, indexIP(i), routerIP, routeMAC(i))
}

// awaitRouter returns once packets pass between the calling thread's namespace and the router.
// A new interface drops packets until the kernel has noticed its carrier, some time after ip
// has returned.
func awaitRouter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for patience := time.Millisecond; ; patience *= 2 {
		// No process listens at this port, so the router's answer is a refusal.
		d := net.Dialer{Timeout: patience}
		conn, err := d.DialContext(ctx, "tcp", routerIP+":9")
		if err == nil {
			return conn.Close()
		}
		if errors.Is(err, unix.ECONNREFUSED) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the router does not answer: %w", err)
		}
	}
}

// allot gives a new host its number. It returns the /etc/hosts lines of the hosts that exist
// already and that its test knows.
func (n *network) allot(name hostName) (index int, hosts string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	index = n.next
	n.next++
	var lines strings.Builder
	for other, ip := range n.names {
		if other.seenBy(name.test) {
			fmt.Fprintln(&lines, ip, other.name)
		}
	}
	n.names[name] = indexIP(index)
	return index, lines.String()
}

// forget removes a host's name and its cuts.
func (n *network) forget(name hostName, ip string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names[name] == ip {
		delete(n.names, name)
	}
	for pair := range n.cuts {
		if pair[0] == ip || pair[1] == ip {
			n.setCutLocked(pair, false)
		}
	}
}

// setCut drops or lets pass the packets from one address to another; "all" stands
// for every address. Blackhole rules, unlike unreachable ones, say nothing to the
// sender.
func (n *network) setCut(pair [2]string, cut bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.setCutLocked(pair, cut)
}

func (n *network) setCutLocked(pair [2]string, cut bool) error {
	if n.cuts[pair] == cut {
		return nil
	}
	verb := "del"
	if cut {
		verb = "add"
	}
	err := inNetns(n.router, func() error {
		return runIP(fmt.Sprintf("rule %s pref 100 from %s to %s blackhole\n", verb, pair[0], pair[1]))
	})
	if err == nil && cut {
		n.cuts[pair] = true
	} else if err == nil {
		delete(n.cuts, pair)
	}
	return err
}

// resolve replaces a host's name in addr by its address. Real names are refused:
// there is no name server to ask.
func (n *network) resolve(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return addr, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []string
	for name, ip := range n.names {
		if name.name == host {
			found = append(found, ip)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("lab: %d hosts are called %q, want one", len(found), host)
	}
	return net.JoinHostPort(found[0], port), nil
}

// Dial connects from the test process to a host, by address or by Host.Name. It has the
// signature of net.Dialer.DialContext.
func Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n, err := currentNetwork()
	if err != nil {
		return nil, err
	}
	return n.dialFrom(ctx, n.station, network, addr)
}

// Dial connects from within the host, as a process there would.
func (r *Running) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return r.net.dialFrom(ctx, r.netns, network, addr)
}

func (n *network) dialFrom(ctx context.Context, from *os.File, network, addr string) (net.Conn, error) {
	addr, err := n.resolve(addr)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = inNetns(from, func() (err error) {
		// For a literal address the dialer makes its socket in this goroutine, and so on
		// this thread.
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Listen listens in the test process at StationIP, where hosts can reach it.
func Listen(network, addr string) (net.Listener, error) {
	n, err := currentNetwork()
	if err != nil {
		return nil, err
	}
	var l net.Listener
	err = inNetns(n.station, func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}
