//go:build linux

package integration

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// with runs a script at the desk whose calls of ssh end up as a user whom nobody
// can log in as: over ssh, and then through sudo.
func (o *office) with(ctx context.Context, script string) *lab.Cmd {
	return o.command(ctx, "with", o.path+"/sudo:app", "--", "sh", "-euc", script)
}

// summary is a piece of script that tells all about the tree in the working
// directory.
const summary = `find . -printf "%P %y %m %l %s %n %Ts\n" | sort; find . -type f | LC_ALL=C sort | xargs -r -d "\n" sha256sum`

// sameTrees fails unless a directory at the desk is as one at the far side.
func sameTrees(here, there string) string {
	return `(cd ` + here + ` && ` + summary + `) >/tmp/here; ssh web 'cd ` + there + ` && ` + summary + `' >/tmp/there; diff /tmp/here /tmp/there; rm /tmp/here /tmp/there
`
}

// TestToolsOverSSHAndSudo has the real tools work in an account that cannot be
// reached by ssh.
func TestToolsOverSSHAndSudo(t *testing.T) {
	o := newOffice(t, nil)
	scenes := []scene{look(o.desk), look(o.web)}
	for _, c := range []struct{ name, script string }{
		{"rsync", `
			mkdir -p /tmp/s/deep; cd /tmp/s; seq 100000 >big; ln -s big link; ln big hard; chmod 640 big; touch -d @1 old; printf x >'a b'
			truncate -s 1M sparse; mkfifo pipe
			rsync -aHAX --no-o --no-g /tmp/s/ web:t/
			` + sameTrees("/tmp/s", "t") + `
			rm /tmp/s/old; echo more >>/tmp/s/big
			rsync -aHAX --no-o --no-g --delete /tmp/s/ web:t/
			` + sameTrees("/tmp/s", "t") + `
			rsync -aHAX --no-o --no-g -e ssh someone@web:t/ /tmp/u/
			` + sameTrees("/tmp/u", "t") + `
			ssh web 'test "$(id -un)" = app && test "$(stat -c %U t/big)" = app && rm -r t'
			cd /; rm -r /tmp/s /tmp/u`},
		{"rsync of many files", `
			mkdir /tmp/s; cd /tmp/s; seq 10000 | split -l 1 -a 4 -
			rsync -a --no-o --no-g . web:t
			` + sameTrees("/tmp/s", "t") + `
			ssh web rm -r t; cd /; rm -r /tmp/s`},
		{"rsync that was interrupted", `
			mkdir /tmp/s; head -c 64M /dev/urandom >/tmp/s/big
			rsync --partial --bwlimit=20000 /tmp/s/big web:big 2>/dev/null & p=$!
			until ssh -n web 'test -n "$(find . -name ".big.*" -size +1M)"'; do :; done
			kill -INT $p; wait $p && exit 1
			until ssh -n web 'test -s big'; do :; done
			test $(ssh -n web 'wc -c <big') -lt 67108864
			rsync --partial --append-verify /tmp/s/big web:big
			ssh web cat big | cmp - /tmp/s/big
			ssh web rm big; rm -r /tmp/s`},
		{"git", `
			export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=/tmp/home; mkdir /tmp/home
			git config --global init.defaultBranch main
			ssh web git init -q --bare -b main r.git
			git init -q /tmp/g; cd /tmp/g; head -c 20M /dev/urandom >blob; git add .; git commit -qm one
			git push -q ssh://app@web/home/app/r.git main; git tag v1; git push -q web:r.git v1
			git clone -q web:r.git /tmp/c1; cmp blob /tmp/c1/blob
			echo two >two; git add .; git commit -qm two; git push -q web:r.git main
			cd /tmp/c1; git pull -q; test "$(cat two)" = two
			git clone -q --depth 1 ssh://web/home/app/r.git /tmp/c2; test "$(git -C /tmp/c2 rev-list --count HEAD)" = 1
			env -u GIT_SSH_COMMAND -u GIT_SSH git -c core.sshCommand=ssh ls-remote -q web:r.git | grep -q refs/tags/v1
			ssh web rm -rf r.git; cd /; rm -rf /tmp/g /tmp/c1 /tmp/c2 /tmp/home`},
		{"20 clones at once", `
			export HOME=/tmp/home; mkdir /tmp/home
			ssh web 'git init -q r && cd r && seq 100000 >f && git add f && git -c user.name=a -c user.email=a@b commit -qm one'
			for i in $(seq 20); do git clone -q web:r /tmp/home/$i & done; wait
			for i in $(seq 20); do test "$(wc -l </tmp/home/$i/f)" = 100000; done
			ssh web rm -rf r; rm -rf /tmp/home`},
		{"scp", `
			mkdir -p /tmp/s/d; seq 100000 >/tmp/s/d/f; echo x >/tmp/s/x; chmod 600 /tmp/s/x
			for o in -s -O; do
				scp -pqr $o /tmp/s web:t
				` + sameTrees("/tmp/s", "t") + `
				scp -pqr $o web:t /tmp/u
				` + sameTrees("/tmp/u", "t") + `
				ssh web rm -r t; rm -r /tmp/u
			done
			scp -q -3 web:/etc/hostname web:copy; ssh web 'cmp /etc/hostname copy && rm copy'
			rm -r /tmp/s`},
		{"sftp", `
			seq 100000 >/tmp/f; seq 100 >/tmp/part
			sftp -q -b - web >/tmp/out <<e
put /tmp/f g
chmod 600 g
symlink g l
rename g h
pwd
ls -l h
get h /tmp/k
put /tmp/part i
reput /tmp/f i
get i /tmp/i
rm i
rm h
rm l
e
			cmp /tmp/f /tmp/k; cmp /tmp/f /tmp/i; grep -q 'Remote working directory: /home/app' /tmp/out; grep -q -e '-rw-------.*h' /tmp/out; ssh web 'test -z "$(ls)"'
			rm /tmp/f /tmp/part /tmp/k /tmp/i /tmp/out`},
		{"scripts", `
			test "$(ssh -l somebody -p 99 web 'echo $USER $LOGNAME $HOME $PWD')" = 'app app /home/app /home/app'
			mkdir /tmp/s; seq 10000 >/tmp/s/f; cd /tmp/s
			tar c . | ssh web 'mkdir t && tar xC t'
			` + sameTrees("/tmp/s", "t") + `
			ssh web cat t/f | cmp - f
			s=0; ssh web exit 42 || s=$?; test $s = 42
			s=0; ssh web 'kill -9 $$' || s=$?; test $s = 255
			test "$(printf '1\n2\n3\n' | while read i; do ssh -n web echo $i; done | tr '\n' ,)" = 1,2,3,
			ssh web rm -r t; cd /; rm -r /tmp/s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			begin := time.Now()
			if got := finish(t, o.with(ctx, c.script)); got != (result{}) {
				t.Errorf("%+v", got)
			}
			t.Logf("%v", time.Since(begin))
		})
	}
	for _, s := range scenes {
		s.restored(t, 5*time.Second, "/root/.ssh/known_hosts")
	}
}

// Somebody who types has a terminal at the far side, which follows the window.
func TestShellAtATerminalOfTheShim(t *testing.T) {
	o := newOffice(t, map[string]string{"/home/app/.bashrc": "PS1='at your service: '"})
	scenes := []scene{look(o.desk), look(o.web)}
	s := sit(t, o.command(t.Context(), "ssh", o.path+"/sudo:app"))
	s.answer(t, "at your service: ", "cat\r")
	s.answer(t, "cat\r\n", "typed\r")
	s.answer(t, "typed\r\ntyped\r\n", "\x03")
	if err := pty.Setsize(s.terminal, &pty.Winsize{Rows: 30, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	s.answer(t, "at your service: ", `until test "$(stty size)" = "30 100"; do :; done; id -un; exit 5`+"\r")
	status, shown := s.end()
	if status != 5 || !strings.Contains(shown, "^C") || !strings.Contains(shown, "\napp\r\n") {
		t.Errorf("status %d", status)
	}
	for _, s := range scenes {
		s.restored(t, 5*time.Second, "/root/.ssh/known_hosts", "/home/app/.bash_history")
	}
}

// What a shim stands for does not outlive it, nor a shim its program.
func TestEndsOfShims(t *testing.T) {
	o := newOffice(t, nil)
	scenes := []scene{look(o.desk), look(o.web)}
	const remote = `trap "" TERM HUP INT; sleep 86000 & echo ready; while :; do sleep 86001; done`
	t.Run("the shim is killed", func(t *testing.T) {
		script := `mkfifo /tmp/feed; ssh web '` + remote + `' >/tmp/feed & p=$!
			read word </tmp/feed; test $word = ready
			kill -KILL $p; wait $p || echo $?
			while ssh -n web 'pgrep -u app -x sleep' >/dev/null; do :; done; rm /tmp/feed`
		if got := finish(t, o.with(t.Context(), script)); got.out != "137\n" || got.status != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the shim is told to end", func(t *testing.T) {
		for _, c := range []struct{ signal, want string }{{"TERM", "255\n"}, {"HUP", "255\n"}} {
			script := `mkfifo /tmp/feed; ssh web '` + remote + `' >/tmp/feed & p=$!
				read word </tmp/feed; kill -` + c.signal + ` $p; wait $p || echo $?; rm /tmp/feed`
			if got := finish(t, o.with(t.Context(), script)); got.out != c.want {
				t.Errorf("%s: %+v", c.signal, got)
			}
		}
	})
	t.Run("the program is killed", func(t *testing.T) {
		cmd := o.with(t.Context(), `trap "" HUP; set +e; ssh web '`+remote+`'; echo $?`)
		out := new(journal)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "the script is ready", func() bool { return out.String() == "ready\n" })
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := out.String(); !strings.HasSuffix(got, "is gone\r\n255\n") {
			t.Errorf("%q", got)
		}
	})
	t.Run("the hop is lost", func(t *testing.T) {
		script := `set +e; ssh web 'kill -9 $PPID; sleep 86000'; echo $?`
		if got := finish(t, o.with(t.Context(), script)); got.out != "255\n" || !strings.Contains(got.err, "sudo:app") {
			t.Errorf("%+v", got)
		}
	})
	for _, s := range scenes {
		s.restored(t, 5*time.Second, "/root/.ssh/known_hosts")
	}
}
