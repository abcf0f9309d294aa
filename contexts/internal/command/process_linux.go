package command

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/internal/descriptor"
)

// tieToParent has the kernel kill the process when the thread that starts it
// ends.
func tieToParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// canonical reports whether a terminal hands over lines, and so knows an end of
// input.
func canonical(tty *os.File) (yes bool) {
	_ = descriptor.Control(tty, func(fd int) error {
		m, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		yes = err == nil && m.Lflag&unix.ICANON != 0
		return err
	})
	return yes
}
