//go:build unix

package fakessh

import (
	"context"
	"net"
	"os"
	"os/user"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// serveSFTP serves the subsystem. Like that of sshd, it starts in the home directory.
var serveSFTP = contexts.NewConnFunc("mitosis.fakessh.sftp", func(_ context.Context, conn net.Conn, _ struct{}) error {
	home := os.Getenv("HOME")
	if u, err := user.Current(); err == nil {
		home = u.HomeDir
	}
	if s, err := os.Stat(home); err != nil || !s.IsDir() {
		home = "/"
	}
	return sftp.Serve(conn, sftp.Options{Dir: home})
})
