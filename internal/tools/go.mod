module github.com/palegate/palegate/internal/tools

go 1.26.0
