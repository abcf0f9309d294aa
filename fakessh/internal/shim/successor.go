//go:build unix

package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// successorVariable is the only variable of a successor: the descriptor of the connection, and
// the private directory in two parts. Processes with the whole path in their environment keep
// the directory alive, since they may call ssh; a successor does not.
const successorVariable = "MITOSIS_SSH_SUCCESSOR"

// succeed starts a successor, which takes over the connection of the shim.
func (s *shim) succeed(dir string, telling bool) error {
	conn, err := s.conn.File()
	if err != nil {
		return err
	}
	defer conn.Close()
	path := filepath.Join(dir, "ssh")
	if _, err := os.Stat(path); err != nil {
		path = SelfPath()
	}
	cmd := &exec.Cmd{
		Path: path, Args: os.Args, Env: []string{fmt.Sprintf("%s=3:%s:%s", successorVariable, filepath.Dir(dir), filepath.Base(dir))},
		ExtraFiles: []*os.File{conn}, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if telling {
		cmd.Stderr = os.Stderr
	}
	return cmd.Start()
}

// inherited returns the descriptor and the directory that a successor gets.
func inherited() (fd int, dir string, ok bool) {
	number, rest, _ := strings.Cut(os.Getenv(successorVariable), ":")
	above, name, ok := strings.Cut(rest, ":") // paths that are part of PATH have no colons
	fd, err := strconv.Atoi(number)
	return fd, filepath.Join(above, name), ok && err == nil
}

// deathTime bounds the wait for the kernel to close the sockets of a dead program.
const deathTime = 200 * time.Millisecond

// removeStale removes sockets of a dying program as soon as nobody listens on them.
func removeStale(paths []string) {
	for end := time.Now().Add(deathTime); len(paths) > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		var left []string
		for _, path := range paths {
			if IsStale(path) {
				_ = os.Remove(path)
			} else if _, err := os.Lstat(path); err == nil {
				left = append(left, path)
			}
		}
		paths = left
	}
}

// IsStale reports whether nobody listens on a socket any more.
func IsStale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// ConnOf returns the connection of a file, which it closes.
func ConnOf(file *os.File) (*net.UnixConn, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	c, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("the descriptor is no Unix socket")
	}
	return c, nil
}
