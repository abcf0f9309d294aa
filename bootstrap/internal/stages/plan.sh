# The second stage: parts of the plans that the loop of the first stage evaluates, each
# as one line. A word between two @ is filled in when a plan is made. "#:" begins a part.

#: common
# The beginning of every plan.
#
# say prints a line. bad says that the plan has failed, with the number of places that were
# tried and a reason. no says that one place has failed. Its reason is the status of the last
# command if that has printed nothing. skip reads the image and forgets it, so that the loop
# finds the next plan behind it. It also looks for programs where PATH has lost them. If none can
# be executed that reads many bytes at once, the shell ends: its own read takes single bytes, and
# for an image minutes of processor time.
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
	o=$(PATH=${PATH:+$PATH:}@DIRS@;head -c "$n" 2>&1 >/dev/null) && return
	case $? in
	126|127)
		(PATH=${PATH:+$PATH:}@DIRS@;dd bs=1 count="$n" >/dev/null 2>&1) && return
	esac
	i=-1
	bad "@NOTHING@: ${o##*: }"
	exit 1
}

#: programs
# If the first stage has found neither uname nor id, PATH may have lost the directories of the
# system, or no program can be executed. The shell and its children then look in these directories,
# too, behind those of PATH, and the first stage's facts are found again.
e=$( (/bin/sh -c :) 2>&1) || { bad "@NOTHING@: ${e##*: }"; e=-; }
[ "$e" = - ] || {
	PATH=${PATH:+$PATH:}@DIRS@
	export PATH
	@AGAIN@
}

#: head
# head by way of dd, which every Unix has. It is slow, but single bytes never read too far.
head() { dd bs=1 count="$2" 2>/dev/null; }

#: places
# The start methods of the shell: a file is created under a random name, opened as descriptor 8, and
# its name removed, before the first byte is written. Everything later goes through
# /proc/self/fd/8. The first byte comes after the name has gone, so a connect that is cut at
# any point leaves nothing. rm is executed once before there is a file, because a policy may
# forbid rm.
#
# ksh93 and mksh close descriptors above 2 that exec has opened in every program that they
# execute. They keep a descriptor that is redirected at the command: hence 8<&8.

# image executes descriptor 8, in place of the shell or of a subshell. The path names this process by number: a
# sudo that intercepts the execution opens the path as well. /proc/self would lead it to its own
# descriptor 8, perhaps a terminal, on which it would wait forever.
image() {
	read -r q x </proc/self/stat
	exec /proc/$q/fd/8 "$@" 8<&8
}

# next begins a place. It fails if an earlier plan has tried that place, or if z says that no
# place will work.
next() {
	r=$1
	d=$2
	i=$((i+1))
	[ ! "$z" ] && [ $i -gt @SKIP@ ]
}
# ok finds out whether an image would be executed. It executes a program in descriptor 8 that
# only exits. A failed exec of the image itself would end the shell, and some shells would take
# an image for another system for a script. If the program does not run, ok executes a script, to
# find out whether the place or the system is the cause. It does not if the program was killed (a
# status above 128): a policy that kills it may let scripts run.
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
# put opens descriptor 8 on a new file in directory $d, whose name it removes.
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
# ram reports whether $d is in memory.
ram() {
	k=$(stat -f -c %T "$d" 2>/dev/null) || k=$(while read -r a b c e;do [ "$b" = "$d" ]&&echo "$c";done </proc/mounts|tail -n 1)
	case $k in
	tmpfs|ramfs)return 0
	esac
	no "not in memory but on ${k:-an unknown file system}"
	return 1
}

#: tmpfs
# A tmpfs is mounted where only a helper process sees it, and reached through the helper's
# descriptor. So the child stays in the mount namespace of the host, where a repair that
# remounts something has to do that. The tmpfs is gone with its last descriptor. mount's -n
# keeps it from noting the mount in a file under /run. The helper is a sleep, so that it ends
# within seconds if everything else is killed before it.
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
# receive unpacks the image from standard input into descriptor 8, checks it, and executes it.
# head of busybox may read ahead. That does no harm, since the parent sends nothing between the
# image and the child's first line.
receive() {
	e=$(head -c "$n"|{ unset @VARIABLES@;@UNPACK@ 2>&1 >/proc/self/fd/8;x=$?;cat >/dev/null;exit $x;}) || { bad "$d: unpacking: ${e##*: }"; return; }
	@VERIFY@
	say "at $r $d"
	cd "$w" 2>/dev/null
	unset OLDPWD
	image @ARGS@
}

#: verify
# The hash of descriptor 8 is compared with the hash wanted. If no program makes a hash, the
# image checks itself. That executes bytes that may be damaged, but does not give them the link.
e=@HASHED@
e=${e%%[!0-9a-f]*}
[ ${#e} = 64 ] || { (image @CHECK@@HASH@) && e=@HASH@; }
[ "$e" = @HASH@ ] || { bad hash; return; }

#: load
# An image that needs a dynamic loader is executed once without effect. If the loader or a
# library is missing, the plan fails.
(image @CHECK@) || { bad "@NOLOADER@"; return; }

#: trial
# e becomes the reason for which a trial has failed. The status 159 means SIGSYS on all machines
# but mips. The number decides, because every shell prints another name for the signal.
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
# The variables that steer perl are removed from the environment, and kept in "$@". The script
# sets them again for the child.
set --
for x in @VARIABLES@; do
	eval "[ \"\${$x+x}\" ]&&set -- \"\$@\" \"$x=\$$x\""
done
unset @VARIABLES@
