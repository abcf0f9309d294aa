package facts

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Exit(m.Run())
}

// What a context tells of this host is what the host's own tools say.
func TestFactsOfThisHost(t *testing.T) {
	f, err := Of(t.Context(), treetest.Child(t, treetest.Start(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	says := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return strings.TrimSpace(string(out))
	}
	for what, pair := range map[string][2]any{
		"hostname":     {f.Hostname, says("hostname")},
		"kernel":       {f.Kernel, says("uname", "-r")},
		"machine":      {f.Machine, says("uname", "-m")},
		"user":         {f.User, says("id", "-un")},
		"uid":          {fmt.Sprint(f.UID), says("id", "-u")},
		"processors":   {fmt.Sprint(f.CPUs), says("nproc")},
		"distribution": {f.Distribution.Name, says("sh", "-c", ". /etc/os-release; echo \"$PRETTY_NAME\"")},
		"memory":       {fmt.Sprint(f.Memory.Total >> 10), says("awk", "/^MemTotal/ {print $2}", "/proc/meminfo")},
		"boot":         {f.BootID, says("cat", "/proc/sys/kernel/random/boot_id")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	if f.Uptime <= 0 || f.Memory.Available == 0 || f.Memory.Available > f.Memory.Total {
		t.Errorf("up for %v, with %+v", f.Uptime, f.Memory)
	}
	for _, d := range f.Disks {
		if d.Mount == "/" && !d.Remote {
			if want := says("stat", "-f", "-c", "%b %S", "/"); fmt.Sprintf("%d", d.Size) != says("sh", "-c", "echo $(("+strings.Replace(want, " ", "*", 1)+"))") {
				t.Errorf("the disk of / has %d bytes, want %s blocks", d.Size, want)
			}
		}
	}
}

func TestFilesOfTheKernel(t *testing.T) {
	for what, pair := range map[string][2]any{
		"os-release": {releaseOf("NAME=x\nID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.3'\nPRETTY_NAME=\"Rocky \\\"9\\\"\"\n"),
			Distribution{ID: "rocky", Version: "9.3", Name: `Rocky "9"`, Like: []string{"rhel", "centos", "fedora"}}},
		"no os-release": {releaseOf(""), Distribution{}},
		"uptime":        {uptimeOf("12345.67 99.0\n"), 12345*time.Second + 670*time.Millisecond},
		"no uptime":     {uptimeOf(""), time.Duration(0)},
		"load":          {loadOf("0.50 1.25 2.00 1/100 99\n"), [3]float64{0.5, 1.25, 2}},
		"amd64":         {modelOf("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n"), "Some CPU @ 2 GHz"},
		"arm":           {modelOf("processor : 0\nHardware : BCM\nModel : Raspberry Pi 4\n"), "Raspberry Pi 4"},
		"no model":      {modelOf("processor : 0\n"), ""},
		"memory":        {memoryOf("MemTotal: 100 kB\nMemFree: 5 kB\nMemAvailable: 40 kB\nSwapTotal: 8 kB\nSwapFree: 2 kB\n"), Memory{100 << 10, 40 << 10, 8 << 10, 2 << 10}},
		"old memory":    {memoryOf("MemTotal: 100 kB\nMemFree: 5 kB\nBuffers: 1 kB\nCached: 10 kB\n"), Memory{Total: 100 << 10, Available: 16 << 10}},
		"no memory":     {memoryOf(""), Memory{}},
		"IPv6 route": {routes6Of("00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 1 0 3 eth0\n" +
			"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 200200 lo\n"),
			[]Route{{"eth0", netip.MustParseAddr("fe80::1"), 1024}}},
		"mounts": {disksOf(`1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 0:5 / /proc rw - proc proc rw
3 1 8:2 / /my\040data ro - xfs /dev/sdb1 rw
4 1 8:1 /srv /srv rw - ext4 /dev/sda1 rw
5 1 0:40 / /net rw - nfs4 server:/x rw
6 1 0:41 / /run rw - tmpfs tmpfs rw
7 1 8:3 / /old rw - ext4 /dev/sdc1 rw
8 1 8:4 / /old rw - ext4 /dev/sdd1 rw
nonsense
`), []Disk{{Mount: "/", Device: "/dev/sda1", Type: "ext4"}, {Mount: "/my data", Device: "/dev/sdb1", Type: "xfs", ReadOnly: true},
			{Mount: "/net", Device: "server:/x", Type: "nfs4", Remote: true}, {Mount: "/old", Device: "/dev/sdd1", Type: "ext4"}}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %+v, want %+v", what, pair[0], pair[1])
		}
	}
	if d := releaseOf("ID=ubuntu\nID_LIKE=debian\n"); !d.Is("debian") || !d.Is("ubuntu") || d.Is("fedora") {
		t.Errorf("%+v is not taken for what it comes from", d)
	}
}

func TestDefaultRoutes(t *testing.T) {
	// The addresses are in the order of the machine's bytes.
	text := "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" +
		"wlan0\t00000000\t" + native(192, 168, 1, 1) + "\t0003\t0\t0\t600\t00000000\t0\t0\t0\n" +
		"eth0\t00000000\t" + native(10, 0, 0, 1) + "\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
		"eth0\t" + native(10, 0, 0, 0) + "\t00000000\t0001\t0\t0\t0\t" + native(255, 255, 255, 0) + "\t0\t0\t0\n" +
		"ppp0\t00000000\t00000000\t0001\t0\t0\t900\t00000000\t0\t0\t0\n"
	want := []Route{{"eth0", netip.MustParseAddr("10.0.0.1"), 100}, {"wlan0", netip.MustParseAddr("192.168.1.1"), 600}, {"ppp0", netip.Addr{}, 900}}
	if got := routesOf(text); !reflect.DeepEqual(got, want) {
		t.Errorf("the routes are %v, want %v", got, want)
	}
}

// native is an address as the kernel prints it in /proc/net/route: as a number of this machine.
func native(a, b, c, d byte) string {
	return fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{a, b, c, d}))
}
