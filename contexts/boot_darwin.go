package contexts

import "golang.org/x/sys/unix"

// bootID is another one each time the system starts.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
