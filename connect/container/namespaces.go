package container

import "github.com/mitosis-go/mitosis/connect"

// Namespaces are the namespaces that [Unshare] makes and [Nsenter] joins. The zero value
// stands for mount, UTS, IPC, network and PID together.
type Namespaces struct {
	Mount, UTS, IPC, Net, PID, Cgroup bool
	// User is the user namespace. In a new one the calling user is root, and so may make
	// the others.
	User bool
}

// usual are the namespaces for which the zero value stands.
var usual = Namespaces{Mount: true, UTS: true, IPC: true, Net: true, PID: true}

// flags returns options that unshare and nsenter have in both util-linux and busybox. user
// is the option for the user namespace.
func (n Namespaces) flags(user string) []string {
	if n == (Namespaces{}) {
		n = usual
	}
	var args []string
	for _, o := range []struct {
		set  bool
		flag string
	}{{n.Mount, "-m"}, {n.UTS, "-u"}, {n.IPC, "-i"}, {n.Net, "-n"}, {n.PID, "-p"}, {n.Cgroup, "-C"}, {n.User, user}} {
		if o.set {
			args = append(args, o.flag)
		}
	}
	return args
}

// hopWord has the namespaces as options of a hop word.
func (n *Namespaces) hopWord(w *connect.Word) {
	w.Flag("mount", &n.Mount)
	w.Flag("uts", &n.UTS)
	w.Flag("ipc", &n.IPC)
	w.Flag("net", &n.Net)
	w.Flag("pid", &n.PID)
	w.Flag("cgroup", &n.Cgroup)
	w.Flag("user", &n.User)
}
