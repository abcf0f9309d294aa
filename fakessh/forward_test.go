//go:build unix

package fakessh_test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/mitosis-go/mitosis/fakessh"
)

// echoServer answers each connection with what it reads, and returns its port.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// freePort returns a port on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// talk has a shell send something to a port and show so many bytes of the
// answer.
const talk = `
talk() { exec 3<>/dev/tcp/127.0.0.1/$1; printf "$2" >&3; head -c "$3" <&3 | od -An -v -tx1 | tr -d ' \n'; exec 3>&-; echo; }
`

func TestForwards(t *testing.T) {
	runtimeDir(t)
	hosts := fakessh.Hosts{Default: child(t)}
	port, closed := echoServer(t), freePort(t)
	socks := `\5\1\0\5\1\0\1\177\0\0\1` + octal(t, port) + `hi\n`
	refused := `\5\1\0\5\1\0\3\011127.0.0.1` + octal(t, closed)
	// Behind it there is the address that was dialled from.
	const said, accepted = "68690a\n", "0500050000017f000001"
	for _, c := range []struct {
		name, script string
		want         outcome
	}{
		{"standard input and output", `printf 'a\nb\n' | ssh -W 127.0.0.1:$1 h`, outcome{"a\nb\n", "", 0}},
		{"a refusal", `ssh -W 127.0.0.1:` + closed + ` h 2>&1 | grep -c 'connection refused'`, outcome{"1\n", "", 0}},
		{"local", `ssh -f -N -L $2:127.0.0.1:$1 h; talk $2 'hi\n' 3`, outcome{said, "", 0}},
		{"remote", `ssh -f -N -R $2:127.0.0.1:$1 h; talk $2 'hi\n' 3`, outcome{said, "", 0}},
		{"dynamic", `ssh -f -N -D $2 h; talk $2 '` + socks + `' 15 | sed 's/....\(......\)$/\1/'`, outcome{accepted + said, "", 0}},
		{"remote and dynamic", `ssh -f -N -R $2 h; talk $2 '` + socks + `' 15 | sed 's/....\(......\)$/\1/'`, outcome{accepted + said, "", 0}},
		{"a refusal by SOCKS", `ssh -f -N -D $2 h; talk $2 '` + refused + `' 4`, outcome{"05000505\n", "", 0}},
		{"a client that speaks no SOCKS", `ssh -f -N -D $2 h; talk $2 'GET /%080d' 4`, outcome{"\n", "", 0}},
		{"along with a command", `ssh -L $2:127.0.0.1:$1 h "bash -c 'exec 3<>/dev/tcp/127.0.0.1/$2; echo x >&3; head -n 1 <&3'"`, outcome{"x\n", "", 0}},
		{"a port that is taken", `ssh -oExitOnForwardFailure=yes -N -L $1:h:1 h 2>&1 | grep -c 'address already in use'`, outcome{"1\n", "", 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := doIn(t, "bash", hosts, talk+c.script, port, freePort(t)); got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
}

// octal is how printf is told the two bytes of a port.
func octal(t *testing.T, port string) string {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`\%03o\%03o`, n>>8, n&0xff)
}
