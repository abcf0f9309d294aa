package container

// Namespaces are those that [Unshare] makes and [Nsenter] joins. The zero value
// stands for mount, UTS, IPC, network and PID together.
type Namespaces struct {
	Mount, UTS, IPC, Net, PID, Cgroup bool
	// User joins the user namespace. Of a new one, the calling user is root,
	// so that nobody needs to be root to make the others.
	User bool
}

// usual are those that the zero value stands for.
var usual = Namespaces{Mount: true, UTS: true, IPC: true, Net: true, PID: true}

// flags are the options of unshare and nsenter that util-linux and busybox have in
// common. user is that for the user namespace.
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
