//go:build linux && !ppc && !ppc64 && !ppc64le && !sparc64

package console

import "golang.org/x/sys/unix"

// The requests that know any speed.
const getSerial, setSerial = unix.TCGETS2, unix.TCSETS2

func setSpeed(m *unix.Termios, baud int) {
	m.Cflag = m.Cflag&^unix.CBAUD | unix.BOTHER
	m.Ispeed, m.Ospeed = uint32(baud), uint32(baud)
}

// dropOutput drops bytes that were written and not sent: closing would wait for them.
func dropOutput(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) }
