package bootstrap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/exitprogram"
)

// The rungs of the ladder, in the order in which they are tried. The names
// appear in errors, in logs, and in [Options].
const (
	RungExec   = "exec"          // the parent's own executable, through /proc; no image
	RungCache  = "cache"         // an image that is there from before, where the cache is asked for
	RungPerl   = "memfd-perl"    // an anonymous file, made by perl
	RungPython = "memfd-python3" // the same by python3
	RungRAM    = "ram"           // an unlinked file in a directory in memory
	RungTmpfs  = "tmpfs"         // root: an unlinked file on a tmpfs that nobody else sees
	RungDisk   = "disk"          // an unlinked file on a disk
)

// ladder is every rung that a plan can be made for.
var ladder = []string{RungPerl, RungPython, RungRAM, RungTmpfs, RungDisk}

// byShell says that a rung is carried out by the far side's shell. All such rungs
// share one plan: the far side finds the first place that does, and the image
// crosses once.
func byShell(rung string) bool { return rung == RungRAM || rung == RungTmpfs || rung == RungDisk }

// diskPlaces are tried in this order, as words of the far side's shell.
var diskPlaces = []string{`"${HOME:-/}"`, "/var/tmp", "/tmp"}

// noPlaceLeft is the reason of a plan that ends before it has taken an image.
const noPlaceLeft = "no place left"

// A plan is the second stage: one line for the loop of the first, and the image
// right behind it.
type plan struct {
	marker string
	loop   string
	facts  *Facts
	args   []string // the child's, without argv[0]
	goarch string   // of the image
	loader string   // that the image needs; "" for a static one
	hash   string   // hex SHA-256 of what the far side unpacks
	codec  Codec
	size   int // bytes that follow the line
	skip   int // places that have been tried in vain; see shell
}

// obstacle tells why a rung is not worth trying, "" if it is.
func obstacle(rung string, f *Facts, noDisk bool) string {
	linux := f.GOOS() == "linux"
	if linux && f.NoProc {
		return noProcReason
	}
	switch rung {
	case RungPerl, RungPython:
		tool := strings.TrimPrefix(rung, "memfd-")
		if !linux {
			return "only Linux has memfd"
		}
		if !f.has(tool) {
			return "no interpreter: " + tool + " not found"
		}
	case RungRAM:
		if !linux {
			return "only Linux executes a file that has no name"
		}
		if len(f.Dirs) == 0 {
			return "no writable directory in memory"
		}
	case RungTmpfs:
		if !linux {
			return "only Linux has mount namespaces"
		}
		if f.UID != 0 {
			return "not root"
		}
		if !f.has("unshare") {
			return "unshare not found"
		}
	case RungDisk:
		if noDisk {
			return "not allowed to write to a disk"
		}
		if !linux {
			return "only Linux executes a file that has no name"
		}
	}
	return ""
}

// line is the plan for one rung, or for several that the shell carries out.
func (p *plan) line(rungs []string) string { return p.marker + " " + p.script(rungs) }

// script is what the shell of the first stage evaluates. It has no newline in it.
func (p *plan) script(rungs []string) string {
	var script string
	switch rungs[0] {
	case RungPerl:
		script = p.perl()
	case RungPython:
		script = p.python()
	default:
		script = p.shell(rungs)
	}
	return strings.ReplaceAll(p.common(rungs[0])+p.ifLoaderThere(script), "\n", "")
}

// hashCommand is a shell command whose output begins with the hex SHA-256 of its
// standard input, "" if the far side has nothing for it. openssl comes first: it
// uses the instructions that processors have for SHA-256, sha256sum often does
// not and takes three times as long.
func hashCommand(f *Facts) string {
	switch {
	case f.has("openssl"):
		return "openssl dgst -sha256 -r"
	case f.has("sha256sum"):
		return "sha256sum"
	case f.has("shasum"):
		return "PERL5OPT= PERL5LIB= PERLLIB= PERLIO= PERL_UNICODE=0 shasum -a 256" // a script for perl
	case f.has("python3"):
		return python + `"` + strings.TrimSpace(pythonClean) + `;import hashlib;print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"`
	}
	return ""
}

// quote makes one word of s for sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// What every plan begins with. say prints a line. bad ends a plan with the number of
// places that have been used up and a reason; no tells of one place that did not do;
// skip reads the image away, so that the loop finds the next plan behind it. Where no
// program can be executed that reads many bytes at once, the shell ends: by bytes its own
// read takes minutes of a processor for an image.
const planCommon = `z=;unset -f echo head dd rm stat tail cat chmod kill;
say(){ printf "\n%s %s\n" "$m" "$1"||echo "$m $1";};
no(){ say "no $r $d: $1";};
bad(){ say "fail $r $i $1";};
skip(){ 
o=$(head -c "$n" 2>&1 >/dev/null)&&return;
case $? in 126|127)dd bs=1 count="$n" >/dev/null 2>&1&&return;esac;
i=-1;bad "` + nothingRuns + `: ${o##*: }";
exit 1;};
`

// The shell rungs: a file is created under a random name, opened as descriptor 8,
// and its name removed, before the first byte is written. Everything later goes
// through /proc/self/fd/8. Since bytes only come after the name has gone, a
// connect that is cut at any point leaves nothing. rm is executed once before there is a
// file, as a policy may forbid that.
//
// ksh93 and mksh close what exec has opened above 2 in all that they execute, but for
// what is redirected at the command: hence 8<&8.
//
// next begins a place, unless it has been tried by a plan before, or z says that
// no place will do. ok finds out whether an image would be executed, by a program in
// descriptor 8 that only ends: exec of the image itself would take the shell with it, and
// what is no program for this system some shells take for a script. Where that does
// not run, a script tells whether it is the place or the system. put makes descriptor 8
// in directory $d; ram says whether $d is in memory.
const shellCommon = `next(){ r=$1;d=$2;i=$((i+1));[ ! "$z" ]&&[ $i -gt %d ];};
ok(){ 
(printf "%s" >/proc/self/fd/8) 2>/dev/null&&/proc/self/fd/8 >/dev/null 2>&1 8<&8&&return;
e=$( (echo "#!/bin/sh">/proc/self/fd/8) 2>&1 )||{ no "${e##*: }";return 1;};
e=$( /proc/self/fd/8 2>&1 8<&8 )||{ no "execution not allowed, ${e##*: }";return 1;};
(printf "%s" >/proc/self/fd/8) 2>/dev/null||return 0;
wrong;return 1;
};
put(){ 
[ -d "$d" ]||{ no "no such directory";return 1;};
for x in rm chmod;do command -v $x >/dev/null||{ no "$x not found";return 1;};done;
t=$d/.mitosis-$m;
e=$(rm -f "$t" 2>&1)||{ no "rm does not run, ${e##*: }";return 1;};
e=$( (umask 77;set -C;:>"$t") 2>&1 )||{ no "${e##*: }";return 1;};
e=$( (:<"$t") 2>&1 )||{ rm -f "$t";no "${e##*: }";return 1;};
exec 8<"$t";
e=$(rm -f "$t" 2>&1)||{ no "$t can not be removed, ${e##*: }";return 1;};
e=$(chmod 700 /proc/self/fd/8 2>&1 8<&8)||{ no "chmod: ${e##*: }";return 1;};
ok;
};
ram(){ 
k=$(stat -f -c %%T "$d" 2>/dev/null)||k=$(while read -r a b c e;do [ "$b" = "$d" ]&&echo "$c";done </proc/mounts|tail -n 1);
case $k in tmpfs|ramfs)return 0;esac;
no "not in memory but on ${k:-an unknown file system}";return 1;};
`

// shellTmpfs mounts a tmpfs where only a helper process sees it, and reaches
// into it through the helper's descriptor. The child itself so stays in the mount
// namespace of the host: a repair that remounts something must do it there. The
// tmpfs is gone with its last descriptor.
//
// mount's -n keeps it from noting the mount in a file under /run.
//
// The helper is a sleep that outlives its starter by a few seconds at most, if
// everything else is killed in between.
const shellTmpfs = `tmpfs(){ 
for d in /mnt /media /srv /opt /tmp /run /var /usr;do [ -d "$d" ]&&break;done;
e=$(unshare -m /bin/sh -c 'mount -n -t tmpfs -o mode=700 mitosis "$0"&&umask 77&&:>"$0/image"&&chmod 700 "$0/image"&&exec 8<"$0/image"&&rm "$0/image"&&{ exec sleep 5 >/dev/null 2>&1 8<&8 & echo "pid $!";}' "$d" 2>&1 </dev/null);
case $e in "pid "*);;*)no "${e##*: }";return 1;esac;
h=${e#pid };
e=$( (: </proc/$h/fd/8) 2>&1 )||{ kill $h;no "${e##*: }";return 1;};
exec 8</proc/$h/fd/8;kill $h;
ok;
};
`

// shellReceive takes the image from standard input into descriptor 8, checks it
// and becomes it.
//
// head of busybox may read ahead. That harms nobody, since the parent is silent
// between the image and the child's first word.
const shellReceive = `receive(){ 
e=$(head -c "$n"|{ unset ` + unpackVariables + `;%s 2>&1 >/proc/self/fd/8;x=$?;cat >/dev/null;exit $x;})||{ bad "$d: unpacking: ${e##*: }";return;};
%s;
say "at $r $d";
cd "$w" 2>/dev/null;
exec /proc/self/fd/8 %s 8<&8;
};
`

// shellHash compares hashes. Where there is no program to hash with, or it does
// not work, the image checks itself: this one executes bytes that may be harmed,
// but at least doesn't hand the link to them.
const shellHash = `e=%s;[ ${#e} -ge 64 ]||{ /proc/self/fd/8 mitosis:check=%s 8<&8&&e=%[2]s;};` +
	`case $e in %[2]s*);;*)bad hash;return;;esac`

// common sets the variables that planCommon uses.
func (p *plan) common(rung string) string {
	script := fmt.Sprintf("r=%s;n=%d;i=0;", rung, p.size)
	if !p.facts.has("head") {
		// Slow, and there on every Unix: byte by byte nothing is read too far.
		return script + planCommon + `head(){ dd bs=1 count="$2" 2>/dev/null;};`
	}
	return script + planCommon
}

// shell is the plan of rungs that the far side's shell carries out: a row of
// places, of which the first that does receives the image. A place that turns
// out to be unfit only with the image under way, such as one that is too small,
// ends the plan; the next plan skips all up to it.
func (p *plan) shell(rungs []string) string {
	hash := hashCommand(p.facts)
	if hash != "" {
		hash = "$(" + hash + " <&8 2>/dev/null)"
	}
	check := fmt.Sprintf(shellHash, hash, p.hash) + p.loadByShell()
	unpack := "cat"
	if cmd := p.codec.command(); cmd != "" {
		unpack = cmd
	}
	var b strings.Builder
	b.WriteString(p.shellCommon(p.skip) + `wrong(){ skip;bad "` + wrongFormat + `";z=1;};`)
	if slices.Contains(rungs, RungTmpfs) {
		b.WriteString(shellTmpfs)
	}
	fmt.Fprintf(&b, shellReceive, unpack, check, quoteAll(p.args))

	b.WriteString("go(){ ")
	for _, rung := range rungs {
		for _, place := range places(rung, p.facts) {
			test := map[string]string{RungRAM: "ram&&put", RungTmpfs: "tmpfs", RungDisk: "put"}[rung]
			fmt.Fprintf(&b, "next %s %s&&%s&&{ receive;return;};", rung, place, test)
		}
	}
	b.WriteString(`[ "$z" ]||{ skip;i=-1;bad "` + noPlaceLeft + `";};};go;`)
	return b.String()
}

// shellCommon are the functions of [shellCommon], for places behind the first few.
func (p *plan) shellCommon(skip int) string {
	program := octal(exitprogram.For(p.goarch))
	return fmt.Sprintf(shellCommon, skip, program, program)
}

// places are where a rung can be tried, as words of the far side's shell.
func places(rung string, f *Facts) []string {
	switch rung {
	case RungRAM:
		quoted := make([]string, len(f.Dirs))
		for i, dir := range f.Dirs {
			quoted[i] = quote(dir)
		}
		return quoted
	case RungDisk:
		return diskPlaces
	}
	return []string{"-"}
}

// A RungError is a rung that was tried in vain or passed over, and why.
type RungError struct {
	Rung   string
	Reason string
}

// Error returns the rung and the reason.
func (e RungError) Error() string { return e.Rung + ": " + e.Reason }

// rungsFor is the ladder for these facts: the rungs to try and those that need
// no trying.
func rungsFor(f *Facts, only []string, noDisk bool) (try []string, closed []RungError) {
	for _, rung := range ladder {
		if len(only) > 0 && !slices.Contains(only, rung) {
			continue
		}
		if why := obstacle(rung, f, noDisk); why != "" {
			closed = append(closed, RungError{rung, why})
			continue
		}
		try = append(try, rung)
	}
	return try, closed
}
