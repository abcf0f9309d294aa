// Package facts tells about the host of a context: its system, addresses, memory and disks.
// Nothing is started for it. What a host does not have, or does not tell, is empty and no
// error: a container without /proc has few facts.
package facts

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Facts are those of one host at one moment.
type Facts struct {
	Hostname string
	GOOS     string // "linux"
	GOARCH   string // "amd64", of the program
	Kernel   string // its release: "6.1.0-37-amd64"
	Machine  string // as the kernel names the processor: "x86_64"

	Distribution Distribution
	BootID       string        // another one after each boot; "" if the system has none
	Uptime       time.Duration // since the boot

	User string // that the context runs as
	UID  int    // -1 on Windows

	CPUs     int // that the context may use
	CPUModel string
	Load     [3]float64 // means of 1, 5 and 15 minutes

	Memory    Memory
	Addresses []Address // without those of loopback interfaces
	Routes    []Route   // the default routes, the preferred first
	Disks     []Disk    // mounted file systems that hold files of a disk or a server
}

// Distribution is what /etc/os-release says.
type Distribution struct {
	ID      string   // "debian"
	Version string   // "12"
	Name    string   // for people: "Debian GNU/Linux 12 (bookworm)"
	Like    []string // the IDs of distributions that it comes from, nearest first
}

// Is reports whether the distribution is of an ID, or comes from one.
func (d Distribution) Is(id string) bool { return d.ID == id || slices.Contains(d.Like, id) }

// Memory is in bytes.
type Memory struct {
	Total, Available    uint64
	SwapTotal, SwapFree uint64
}

// Address is one of an interface.
type Address struct {
	Interface string
	MAC       string
	Prefix    netip.Prefix // the address, with the length of its network
}

// Route is a default route.
type Route struct {
	Interface string
	Gateway   netip.Addr // not valid where the route leads to the interface itself
	Metric    int
}

// Disk is a mounted file system. Sizes are in bytes, and 0 for those of servers, which may
// not answer.
type Disk struct {
	Mount    string
	Device   string
	Type     string
	Size     uint64
	Free     uint64 // for users; root may have more
	ReadOnly bool
	Remote   bool
}

// Of asks a context, or the context of a managed host, for the facts of its host.
func Of(ctx context.Context, on contexts.Target) (Facts, error) {
	return Func.Call(ctx, on, struct{}{})
}

// Func is the function that [Of] calls, for those who call it on many hosts.
var Func = contexts.NewFunc("mitosis.facts", func(context.Context, struct{}) (Facts, error) {
	f := Facts{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, UID: os.Getuid(), CPUs: runtime.NumCPU()}
	f.Hostname, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		f.User = u.Username
	}
	f.Addresses = addresses()
	f.system()
	return f, nil
})

func addresses() []Address {
	var all []Address
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					ones, _ := n.Mask.Size()
					all = append(all, Address{Interface: i.Name, MAC: i.HardwareAddr.String(), Prefix: netip.PrefixFrom(ip.Unmap(), ones)})
				}
			}
		}
	}
	return all
}

// releaseOf reads /etc/os-release: lines of NAME=value, where the value may be quoted as in a
// shell.
func releaseOf(text string) Distribution {
	var d Distribution
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = unquote(value)
		switch name {
		case "ID":
			d.ID = value
		case "VERSION_ID":
			d.Version = value
		case "PRETTY_NAME":
			d.Name = value
		case "ID_LIKE":
			d.Like = strings.Fields(value)
		}
	}
	return d
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' && s[0] != '\'' || s[len(s)-1] != s[0] {
		return s
	}
	if inner := s[1 : len(s)-1]; s[0] == '\'' {
		return inner
	} else {
		var out strings.Builder
		for i := 0; i < len(inner); i++ {
			if inner[i] == '\\' && i+1 < len(inner) {
				i++
			}
			out.WriteByte(inner[i])
		}
		return out.String()
	}
}
