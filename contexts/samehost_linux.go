package contexts

// sameHostReadable reports whether a process of the given user on this host
// may execute our image through /proc/PID/exe. The kernel allows that to the
// same user and to root.
func sameHostReadable(user string) bool {
	return user == "" || user == "root"
}
