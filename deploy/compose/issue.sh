#!/bin/sh
# Certificates of the small installation in docker-compose.yml, made once.
set -eu
cd /var/lib/ferraris
[ -e pki/ca.pem ] || ferraris pki init
[ -e pki/issued/broker.pem ] || ferraris pki issue broker --role server --host broker --host localhost --host 127.0.0.1
[ -e pki/issued/processor-1.pem ] || ferraris pki issue processor-1 --role service
[ -e pki/issued/operator-1.pem ] || ferraris pki issue operator-1 --role operator
for home in 1 2 3 4 5; do
    [ -e "pki/issued/home-$home.pem" ] || ferraris pki issue "home-$home" --role meter
done
