package facts

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func (f *Facts) system() {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel, f.Machine = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	}
	read := func(name string) string { text, _ := os.ReadFile(name); return string(text) }
	if text := read("/etc/os-release"); text != "" {
		f.Distribution = releaseOf(text)
	} else {
		f.Distribution = releaseOf(read("/usr/lib/os-release"))
	}
	f.BootID = strings.TrimSpace(read("/proc/sys/kernel/random/boot_id"))
	f.Uptime = uptimeOf(read("/proc/uptime"))
	f.Load = loadOf(read("/proc/loadavg"))
	f.CPUModel = modelOf(read("/proc/cpuinfo"))
	f.Memory = memoryOf(read("/proc/meminfo"))
	f.Routes = slices.Concat(routesOf(read("/proc/net/route")), routes6Of(read("/proc/net/ipv6_route")))
	f.Disks = disksOf(read("/proc/self/mountinfo"))
	for i := range f.Disks {
		f.Disks[i].measure()
	}
}

func uptimeOf(text string) time.Duration {
	seconds, _, _ := strings.Cut(text, " ")
	s, _ := strconv.ParseFloat(seconds, 64)
	return time.Duration(s * float64(time.Second))
}

func loadOf(text string) (load [3]float64) {
	for i, word := range strings.Fields(text) {
		if i < len(load) {
			load[i], _ = strconv.ParseFloat(word, 64)
		}
	}
	return load
}

// modelOf finds the name of the processor, for which architectures have different words.
func modelOf(cpuinfo string) string {
	names := []string{"model name", "Model", "Processor", "cpu", "uarch"}
	found := make(map[string]string)
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); found[name] == "" {
			found[name] = strings.TrimSpace(value)
		}
	}
	for _, name := range names {
		if found[name] != "" {
			return found[name]
		}
	}
	return ""
}

func memoryOf(meminfo string) Memory {
	kib := make(map[string]uint64)
	for line := range strings.Lines(meminfo) {
		name, value, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		kib[name], _ = strconv.ParseUint(number, 10, 64)
	}
	m := Memory{Total: kib["MemTotal"] << 10, Available: kib["MemAvailable"] << 10, SwapTotal: kib["SwapTotal"] << 10, SwapFree: kib["SwapFree"] << 10}
	if _, ok := kib["MemAvailable"]; !ok { // before Linux 3.14
		m.Available = (kib["MemFree"] + kib["Buffers"] + kib["Cached"]) << 10
	}
	return m
}

// routesOf reads /proc/net/route: the default routes are those to 0.0.0.0 with an empty mask.
func routesOf(text string) []Route {
	var all []Route
	for line := range strings.Lines(text) {
		word := strings.Fields(line)
		if len(word) < 8 || word[1] != "00000000" || word[7] != "00000000" {
			continue
		}
		r := Route{Interface: word[0]}
		if b, err := hex.DecodeString(word[2]); err == nil && len(b) == 4 && word[2] != "00000000" {
			var ip [4]byte
			binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
			r.Gateway = netip.AddrFrom4(ip)
		}
		r.Metric, _ = strconv.Atoi(word[6])
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b Route) int { return cmp.Compare(a.Metric, b.Metric) })
	return all
}

// routes6Of reads /proc/net/ipv6_route. The kernel's own entry for what has no route is of the
// loopback interface.
func routes6Of(text string) []Route {
	var all []Route
	for line := range strings.Lines(text) {
		word := strings.Fields(line)
		if len(word) < 10 || word[0] != strings.Repeat("0", 32) || word[1] != "00" || word[9] == "lo" {
			continue
		}
		r := Route{Interface: word[9]}
		if b, err := hex.DecodeString(word[4]); err == nil && len(b) == 16 && word[4] != strings.Repeat("0", 32) {
			r.Gateway = netip.AddrFrom16([16]byte(b))
		}
		metric, _ := strconv.ParseUint(word[5], 16, 32)
		r.Metric = int(metric)
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b Route) int { return cmp.Compare(a.Metric, b.Metric) })
	return all
}

// disksOf reads /proc/self/mountinfo, and returns the file systems of disks and servers. Of
// several mounted at one place the last is seen; of several places of one device the first is
// returned.
func disksOf(mountinfo string) []Disk {
	var all []Disk
	device := make(map[string]bool)
	place := make(map[string]int)
	for line := range strings.Lines(mountinfo) {
		front, back, ok := strings.Cut(line, " - ")
		words, more := strings.Fields(front), strings.Fields(back)
		if !ok || len(words) < 6 || len(more) < 2 {
			continue
		}
		d := Disk{Mount: unescape(words[4]), Type: more[0], Device: unescape(more[1])}
		options := words[5]
		if len(more) > 2 {
			options += "," + more[2]
		}
		d.ReadOnly = slices.Contains(strings.Split(options, ","), "ro")
		d.Remote = slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p", "afs", "beegfs"}, d.Type) || strings.HasPrefix(d.Type, "fuse")
		isDisk := strings.HasPrefix(d.Device, "/dev/") || slices.Contains([]string{"zfs", "btrfs", "overlay", "virtiofs"}, d.Type) || d.Remote
		if at, ok := place[d.Mount]; ok {
			all[at].Mount = "" // it is hidden
		}
		delete(place, d.Mount)
		if !isDisk || device[d.Device+" "+words[2]] {
			continue
		}
		device[d.Device+" "+words[2]] = true
		place[d.Mount] = len(all)
		all = append(all, d)
	}
	return slices.DeleteFunc(all, func(d Disk) bool { return d.Mount == "" })
}

// unescape resolves \040 and the like, as the kernel writes spaces in mount points.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// measure asks the kernel for the sizes. A server that does not answer would hold it up for
// ever, so it is not asked.
func (d *Disk) measure() {
	var s unix.Statfs_t
	if d.Remote || unix.Statfs(d.Mount, &s) != nil {
		return
	}
	unit := uint64(s.Frsize)
	if unit == 0 {
		unit = uint64(s.Bsize)
	}
	d.Size, d.Free = s.Blocks*unit, s.Bavail*unit
}
