// Package files copies files between the hosts of contexts, and gives access to their
// file systems.
//
// [Put] and [Get] copy a file or a tree, [PutAll] one file to many contexts over each
// link once. A file appears at the target when it is complete and checked. [Glob] finds
// names there. [FS] is the file system of a context's host, for everything else that
// one does with files. The master serves files with [Serve], and all contexts of its
// tree read them with [Resources].
//
// It is a package of its own because a copy of a program carries only the packages that
// the program imports: this one is about 140 kB of each image. For SFTP there is package
// contexts/sftp.
//
//	var renew = contexts.NewFunc("site.renew", func(ctx context.Context, _ struct{}) (struct{}, error) {
//		page, err := fs.ReadFile(files.Resources(ctx), "index.html") // the master's
//		if err != nil {
//			return struct{}{}, err
//		}
//		return struct{}{}, os.WriteFile("/srv/www/index.html", page, 0o644)
//	})
//
//	func main() {
//		contexts.Init()
//		ctx := context.Background()
//		self, err := contexts.Start(ctx, nil)
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer self.Close()
//		site, err := os.OpenRoot("site")
//		if err != nil {
//			log.Fatal(err)
//		}
//		if err := files.Serve(self, site.FS()); err != nil {
//			log.Fatal(err)
//		}
//		web, err := self.Connect(ctx, ssh.Login{Host: "web1", User: "root"})
//		if err != nil {
//			log.Fatal(err)
//		}
//
//		res, err := files.Put(ctx, web, "nginx.conf", "/etc/nginx/nginx.conf", &files.Options{Mode: 0o644})
//		switch {
//		case errors.Is(err, syscall.ENOSPC):
//			logs, err := files.FS(ctx, web).ReadDir("var/log/nginx")
//			log.Fatal(logs, err)
//		case err != nil:
//			log.Fatal(err)
//		}
//		fmt.Printf("%d bytes sent, SHA-256 %x\n", res.Sent, res.SHA256)
//		if _, err := renew.Call(ctx, web, struct{}{}); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// # Sender and receiver
//
// A copy has a sender, which reads the source, and a receiver, which writes the target,
// at the two ends of one connection. Each returns when the whole copy is done, or at the
// first error on either side. After a failure the connection is reset with the error,
// which the other side then returns, too.
//
// # Guarantees for a target
//
// A file appears under its name when all of it is there and its checksum is right, and
// not before. Until then its data are in a file of their own in the same directory. On
// Linux that has no name (O_TMPFILE) and vanishes with the process. Elsewhere, and on
// file systems that can't do that, it is called .mitosis-RANDOM. It is removed when the
// copy fails, the link is lost or the context ends; only a SIGKILL of the receiver, or a
// crash of its host, leaves it. On Linux that can happen between the two system calls by
// which an existing target is replaced. A failure leaves an existing target as it was. A
// symbolic link to a file is replaced, not followed.
//
// Some files can't be replaced: a mount point, as /etc/hosts in a container; a file in a
// directory that is read-only or not ours; a file whose owner or access control list a
// new file could not get. [Options.Overwrite] says what happens then. By default the
// file is written in place, and the [Result] has a note of it. In place less is
// promised: contents are checked, and there is room for them before the first is
// written, but readers see the file change, and a failure on the way leaves it
// incomplete, with [ErrIncomplete]. Contents that can be put aside are complete and
// checked before the target is touched. Those of more than 64 KiB can't with [InPlace],
// and where the directory takes no file.
//
// A device or a named pipe that is the target of a single file is written into; with
// [Options.NoSpecial], and in a tree, it is an error. Its permissions and time are not
// changed. A copy to a pipe waits until a process reads it. Names such as /dev/stdout
// and /dev/fd/3 stand for descriptors of the process that calls Get, if that is the
// master, and are an error elsewhere. A socket is an error, and so are a directory and a
// symbolic link to one.
//
// # Attributes that a file keeps
//
// A file that exists keeps its permissions, owner and group, and on Linux its access
// control list and extended attributes, labels of SELinux among them, unless [Options]
// say otherwise. The new file has mode 0600 and is ours until it has all of these.
// Nobody can read it at any time who could not read the old one. Where it can't get the
// owner or the group, only the user who copies gains rights, and the Result has a note.
// Set-user-ID, set-group-ID and sticky bits and capabilities are not kept, as they were
// given to the old contents.
//
// In a directory with the sticky bit where anybody can make files, such as /tmp, a file
// or a pipe of another user is not trusted: nothing is written into it, and the file
// that replaces it is treated as new.
//
// A copy does not wait for the disk, as cp does not: after a crash of the receiving host
// the target may be the old one, or lack data on file systems that write names before
// contents. [Options.Sync] writes the data and then the directory to the disk before the
// copy counts as done.
//
// A tree is copied into the target directory, which is made if it is missing. Files that
// are there and not in the source stay; directories that were there keep their mode,
// owner and time. Files are replaced one by one: a copy that fails leaves those that
// were complete. Hard links become separate files. Entries that are neither file nor
// directory nor symbolic link are skipped and listed in the [Result].
//
// A file is copied with the size that it has when it is opened. Bytes that are added
// meanwhile do not count; a file that becomes shorter is an error. A source without a
// size (a pipe, a file of /proc) is copied until its end.
//
// # Contents that are not sent again
//
// Where the receiver finds a file of the same size it computes its SHA-256, and the
// sender its own; contents cross the link only if they differ. With [Options.Resume] the
// receiver keeps the part of a file that had come when its copy was interrupted. A later
// copy with that option continues it, if the sender's file begins with the same bytes.
//
// # Several connections
//
// [Options.Over] names further contexts at the target's host, to which other connections
// lead. A connection of ssh has at most 2 MiB under way: 40 MB/s with a round trip of
// 50 ms, 10 MB/s with 200 ms. A link that carries more is filled by as many as it takes, and
// one more; those beyond only fill queues. Everything above holds for such a copy, too. The
// contexts pass their parts on to the one that is the target, through a socket of their
// host. So it is that one which reads or writes the files, and no other changes anything.
//
// # Hostile peers
//
// The receiver opens the target directory once and works below it with [os.Root]: names
// that lead out of it, and symbolic links that others put in the way, are errors.
// Counts, bytes, depth and lengths of names are bounded, and so is the memory that a
// sender can make the receiver use. Set-user-ID and the like travel only with
// [Options.Owner].
//
// # On the wire
//
// Both sides send records: one byte for the kind, the length of the body as a uvarint,
// and the body, at most 256 KiB. The sender announces entries (E), each directory before
// the entries in it. For each file the receiver answers with a verdict (V): it needs all
// of it, or nothing if the checksum is the same, or the part behind an offset. The
// verdict also says whether contents go straight into the target. The sender answers the
// verdicts in their order: with data (D), holes (H) and a checksum (F), behind the
// acceptance (P) of an offset; or by saying that the file is the same (S). It announces
// up to 1024 files ahead, so that a tree of small files costs no round trip for each. A
// small file of a tree that is sent in full has a CRC-32C for a checksum, any other file
// a SHA-256. At the end (Z) the receiver sends the result (R).
//
// Over several connections the far side first says where its socket is. Then all of these
// bytes, in both directions, are cut into numbered chunks. Each connection takes the next
// one when it can, and the reader puts them in order.
//
// # Goroutines
//
// A sender has three beside the caller, who writes: one announces, one reads records,
// one computes checksums. A receiver has one for checksums, four that write small files,
// and one that ends a wait for a pipe or a device with the connection. A context that
// passes a copy of PutAll on has one for each direction, and PutAll up to 128 that
// connect managed hosts. With Over there are two for each connection at both ends, and two
// in the context that passes it on. All have ended when the functions return.
package files
