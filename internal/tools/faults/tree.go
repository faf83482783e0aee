package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A tree is the repository's working copy: what git tracks and what it would, so that a fault can be tried before it is committed.
type tree struct {
	dir   string
	files []string // with slashes, sorted
}

func openTree(ctx context.Context, dir string) (tree, error) {
	top, err := git(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return tree{}, err
	}
	top = strings.TrimSuffix(top, "\n")
	list, err := git(ctx, top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return tree{}, err
	}
	files := strings.FieldsFunc(list, func(c rune) bool { return c == 0 })
	slices.Sort(files)
	return tree{dir: top, files: slices.Compact(files)}, nil
}

// copyTo makes dir a fresh copy of the tree.
func (t tree) copyTo(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, name := range t.files {
		from, to := filepath.Join(t.dir, name), filepath.Join(dir, name)
		if err := copyFile(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) { // tracked, but deleted
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case !info.Mode().IsRegular():
		return nil // a submodule's directory
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// apply applies the patch to the copy in dir, which is no repository: git must not take one above it for its own.
func apply(ctx context.Context, dir, patch string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "apply", "--whitespace=nowarn", "--", patch)
	cmd.Dir = dir
	cmd.Env = append(environment(cmd), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = environment(cmd)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}

// environment returns the command's without what would tie it to another directory: a repository that a git hook names, or the
// GOWORK=off that faults itself is run with.
func environment(cmd *exec.Cmd) (env []string) {
	for _, kv := range cmd.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GOWORK":
		default:
			env = append(env, kv)
		}
	}
	return env
}
