# The second stage: parts of the plans that the loop of the first stage evaluates, each
# as one line. A word between two @ is filled in when a plan is made. "#:" begins a part.

#: common
# What every plan begins with. say prints a line. bad ends a plan with the number of
# places that have been used up and a reason; no tells of one place that did not do, by
# the status of what failed where that has said nothing; skip
# reads the image away, so that the loop finds the next plan behind it. Where no program
# can be executed that reads many bytes at once, the shell ends: by bytes its own read
# takes minutes of a processor for an image.
z=
unset -f echo head dd rm stat tail cat chmod kill
say() { printf "\n%s %s\n" "$m" "$1" || echo "$m $1"; }
no() {
	x=$?
	case $1 in
	""|*", ")
		say "no $r $d: $1status $x"
		;;
	*)
		say "no $r $d: $1"
	esac
}
bad() { say "fail $r $i $1"; }
skip() {
	o=$(head -c "$n" 2>&1 >/dev/null) && return
	case $? in
	126|127)
		dd bs=1 count="$n" >/dev/null 2>&1 && return
	esac
	i=-1
	bad "@NOTHING@: ${o##*: }"
	exit 1
}

#: head
# Slow, and there on every Unix: byte by byte nothing is read too far.
head() { dd bs=1 count="$2" 2>/dev/null; }

#: places
# The start methods of the shell: a file is created under a random name, opened as descriptor 8, and
# its name removed, before the first byte is written. Everything later goes through
# /proc/self/fd/8. Since bytes only come after the name has gone, a connect that is cut at
# any point leaves nothing. rm is executed once before there is a file, as a policy may
# forbid that.
#
# ksh93 and mksh close what exec has opened above 2 in all that they execute, but for
# what is redirected at the command: hence 8<&8.

# image executes descriptor 8, in place of a subshell, by a path that means the same file to
# others: a sudo that watches what is executed opens the path, too, and waits for ever
# where that leads to a terminal of its own.
image() {
	read -r q x </proc/self/stat
	exec /proc/$q/fd/8 8<&8
}

# next begins a place, unless it has been tried by a plan before, or z says that no place
# will do.
next() {
	r=$1
	d=$2
	i=$((i+1))
	[ ! "$z" ] && [ $i -gt @SKIP@ ]
}
# ok finds out whether an image would be executed, by a program in descriptor 8 that only
# ends: exec of the image itself would take the shell with it, and what is no program for
# this system some shells take for a script. Where that does not run, a script tells
# whether it is the place or the system. Who kills it (the status is above 128) may let
# scripts run.
ok() {
	(printf "@PROGRAM@" >/proc/self/fd/8) 2>/dev/null && {
		(image) >/dev/null 2>&1 && return
		x=$?
		[ $x -lt 129 ] || { no "execution not allowed, killed with status $x"; return 1; }
	}
	e=$( (echo "#!/bin/sh">/proc/self/fd/8) 2>&1 ) || { no "${e##*: }"; return 1; }
	e=$( (image) 2>&1 ) || { no "execution not allowed, ${e##*: }"; return 1; }
	(printf "@PROGRAM@" >/proc/self/fd/8) 2>/dev/null || return 0
	wrong
	return 1
}
# put makes descriptor 8 in directory $d.
put() {
	[ -d "$d" ] || { no "no such directory"; return 1; }
	for x in rm chmod; do
		command -v $x >/dev/null || { no "$x not found"; return 1; }
	done
	t=$d/.mitosis-$m
	e=$(rm -f "$t" 2>&1) || { no "rm does not run, ${e##*: }"; return 1; }
	e=$( (umask 77;set -C;:>"$t") 2>&1 ) || { no "${e##*: }"; return 1; }
	e=$( (:<"$t") 2>&1 ) || { rm -f "$t"; no "${e##*: }"; return 1; }
	exec 8<"$t"
	e=$(rm -f "$t" 2>&1) || { no "$t can not be removed, ${e##*: }"; return 1; }
	e=$(chmod 700 /proc/self/fd/8 2>&1 8<&8) || { no "chmod: ${e##*: }"; return 1; }
	ok
}
# ram says whether $d is in memory.
ram() {
	k=$(stat -f -c %T "$d" 2>/dev/null) || k=$(while read -r a b c e;do [ "$b" = "$d" ]&&echo "$c";done </proc/mounts|tail -n 1)
	case $k in
	tmpfs|ramfs)return 0
	esac
	no "not in memory but on ${k:-an unknown file system}"
	return 1
}

#: tmpfs
# A tmpfs is mounted where only a helper process sees it, and reached through the
# helper's descriptor. The child itself so stays in the mount namespace of the host: a
# repair that remounts something must do it there. The tmpfs is gone with its last
# descriptor. mount's -n keeps it from noting the mount in a file under /run. The helper
# is a sleep that outlives its starter by a few seconds at most, if everything else is
# killed in between.
tmpfs() {
	for d in /mnt /media /srv /opt /tmp /run /var /usr; do
		[ -d "$d" ] && break
	done
	e=$(unshare -m /bin/sh -c 'mount -n -t tmpfs -o mode=700 mitosis "$0"&&umask 77&&:>"$0/image"&&chmod 700 "$0/image"&&exec 8<"$0/image"&&rm "$0/image"&&{ exec sleep 5 >/dev/null 2>&1 8<&8 & echo "pid $!";}' "$d" 2>&1 </dev/null)
	case $e in
	"pid "*);;
	*)
		no "${e##*: }"
		return 1
	esac
	h=${e#pid }
	e=$( (: </proc/$h/fd/8) 2>&1 ) || { kill $h; no "${e##*: }"; return 1; }
	exec 8</proc/$h/fd/8
	kill $h
	ok
}

#: receive
# The image is taken from standard input into descriptor 8, checked, and executed. head
# of busybox may read ahead. That harms nobody, since the parent is silent between the
# image and the child's first word.
receive() {
	e=$(head -c "$n"|{ unset @VARIABLES@;@UNPACK@ 2>&1 >/proc/self/fd/8;x=$?;cat >/dev/null;exit $x;}) || { bad "$d: unpacking: ${e##*: }"; return; }
	@VERIFY@
	say "at $r $d"
	cd "$w" 2>/dev/null
	exec /proc/self/fd/8 @ARGS@ 8<&8
}

#: verify
# Hashes are compared. Where there is no program to hash with, or it does not work, the
# image checks itself: this one executes bytes that may be harmed, but at least doesn't
# hand the link to them.
e=@HASHED@
[ ${#e} -ge 64 ] || { /proc/self/fd/8 @CHECK@@HASH@ 8<&8 && e=@HASH@; }
case $e in
@HASH@*);;
*)
	bad hash
	return
	;;
esac

#: load
# The image is executed once where it needs a loader, which prints what is missing.
/proc/self/fd/8 @CHECK@ 8<&8 || { bad "@NOLOADER@"; return; }

#: trial
# e becomes the reason for which a trial has failed. 159 is SIGSYS on all machines but
# mips, and its name no shell prints the same.
x=$?
case "$x$e" in
3*!*)
	e="${e##*!}"
	;;
159*)
	e="interpreter does not start: killed by SIGSYS, a seccomp filter forbids memfd_create"
	;;
*)
	e="${e##*: }"
	e="interpreter does not start: ${e:-status $x}"
esac

#: withoutperl
# The variables that steer perl are taken away, and "$@" is made of them, from which the
# script puts them back for the child.
set --
for x in @VARIABLES@; do
	eval "[ \"\${$x+x}\" ]&&set -- \"\$@\" \"$x=\$$x\""
done
unset @VARIABLES@
